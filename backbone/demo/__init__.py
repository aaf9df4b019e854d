"""The demo: synthetic drops of three legacy systems, a worker that is killed, and an independent verdict."""
