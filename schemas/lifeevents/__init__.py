"""Life events that councils and departments act on: deaths now, others later."""
