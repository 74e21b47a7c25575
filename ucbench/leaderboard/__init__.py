"""What is published of a suite: tables that follow from records, and checking, comparing and submitting them.

Nothing here trains or crafts. Exporters of plugins write ``ucbench.Entry``.
"""
