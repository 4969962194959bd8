"""The host: one process that serves one model, its adapters and its hidden states over loopback HTTP.

Started with ``python -m posterngate.endpoints.host --model DIR``. It speaks the part of the OpenAI
API that a gate needs, with vLLM's names for what OpenAI lacks. Importing this package is light;
torch is imported only by the process itself.

    routes     HTTP in, JSON out                        server.py  routes.py  reply.py
    parsing    JSON to frozen requests, or a refusal    requests.py  refusal.py
    prompts    messages to token ids                    prompts.py
    scheduling one model thread, one queue              model_thread.py  cpu_turn.py
    decoding   rows that share every forward pass       decoder.py  draw.py
    reading    log-probabilities and hidden states      reader.py  heads.py
    model      weights, LoRA mixing, key-value slab     network.py  lora.py  slab.py  prefill.py
"""
