"""A simulator of tasks, and the laws that every history of one has to keep.

`world.Simulation` lives one task of a workflow to its end on a tape of luck; `laws.LawBook` watches over it.
`blocks.BlockPlay` does so with a single block, `scripts.ScriptedBlock` plays one that a test has written.
"""
