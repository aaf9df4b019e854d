"""Licences that a council gives: premises, taxis, houses in multiple occupation."""
