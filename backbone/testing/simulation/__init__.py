"""A Kafka in memory, strict, with a clock that jumps: the product's own code runs on it, and no socket, thread or wait.

``SimulatedKafka`` is the brokers, ``Network`` what lies between them and the clients, ``VirtualLoop`` the event loop
with its simulated processes, ``backbone.kafka.socketless`` the way in: a connection whose clients have no sockets.
See ``docs/simulation.md``.
"""
