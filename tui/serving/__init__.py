"""The control room as an SSH service: one window process per connection, behind keys with roles.

Knows asyncssh; imported by `serve` alone. What a window shows and does is known to `tui.window`; this folder decides
who gets one.
"""
