"""The command ``fastmmap``: one module per sub-command, or per noun of several."""
