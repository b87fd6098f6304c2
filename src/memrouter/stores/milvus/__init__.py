"""Memories on Milvus: Standalone, Distributed or Lite."""
