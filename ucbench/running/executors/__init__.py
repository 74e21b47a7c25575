"""Executors compute many cells: one after another, in several processes, or wherever a plugin takes them.

An executor that computes in this process calls ``ucbench.compute`` for each task and hands the record to ``on_done``.
One with workers implements ``ucbench.Worker``, the driver's end of its transport, and gives such workers to a
``ucbench.Dispatcher``; at the other end a ``ucbench.JobRunner`` answers.
"""
