"""The ground everything stands on; modules here import only their neighbours."""
