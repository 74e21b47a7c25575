"""Executors compute many cells: one after another, in several processes, or on other machines through a plugin.

An executor that computes in this process calls ``ucbench.compute`` for each task and passes the record to ``on_done``.
One with workers implements ``ucbench.Worker``, the driver's end of its transport, and runs a ``ucbench.Dispatcher``
with such workers; each worker process answers with a ``ucbench.JobRunner``.
"""
