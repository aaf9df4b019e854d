"""What subscribers' tools take of the vocabulary: JSON Schema, AsyncAPI, Avro and a data dictionary, all generated."""
