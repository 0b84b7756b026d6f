"""The tabs, one file each. A tab draws its controls and wires its events; an event submits, watches or stops."""
