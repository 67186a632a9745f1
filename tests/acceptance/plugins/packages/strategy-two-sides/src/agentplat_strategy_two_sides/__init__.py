"""The coordination strategy `two_sides`."""
