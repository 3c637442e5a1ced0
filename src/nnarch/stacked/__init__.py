"""Many networks trained in one computation.

`outline` says which networks do the same, whatever their widths; `padded` makes one function of
stacked weights of them, `update` the optimizers' rules for all at once, and `stack` trains what
came of it. Losses, rules, schedules and the judging of an epoch are those that train one network.
"""
