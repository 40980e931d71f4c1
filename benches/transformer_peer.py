"""Training and decoding in PyTorch, Hugging Face and CTranslate2 (f32): the peers of
`cargo bench --bench transformer`.

    python benches/transformer_peer.py [threads]

Training: torch.nn.Transformer, d 128, 4+4 layers, 8 heads, feed-forward 512, vocabulary 8,000,
64 sentences of 32 tokens, label smoothing, Adam. Decoding: MarianMTModel, d 256, 3+3 layers, 4
heads, feed-forward 1,024, vocabulary 8,000, 32 sentences and one, 20 to 30 tokens, greedy and with a
beam of 4. Prints medians in milliseconds and target tokens a second.
"""

import math
import sys
import tempfile
import time

import ctranslate2
import torch
from ctranslate2.converters.transformers import MarianMTLoader
from torch import nn
from transformers import MarianConfig, MarianMTModel

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
torch.set_num_threads(THREADS)
torch.manual_seed(0)
VOCABULARY = 8000


def median(run, times):
    run()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[times // 2]


class Translation(nn.Module):
    def __init__(self, d=128):
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, d)
        self.target = nn.Embedding(VOCABULARY, d)
        self.core = nn.Transformer(d, 8, 4, 4, 512, 0.1, batch_first=True)
        self.out = nn.Linear(d, VOCABULARY)
        self.scale = math.sqrt(d)
        at = torch.arange(512)[:, None] / 10000 ** (torch.arange(0, d, 2) / d)
        self.register_buffer("positions", torch.stack([at.sin(), at.cos()], 2).flatten(1))
        self.dropout = nn.Dropout(0.1)

    def embed(self, table, ids):
        return self.dropout(table(ids) * self.scale + self.positions[: ids.shape[1]])

    def forward(self, source, target):
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        x = self.core(self.embed(self.source, source), self.embed(self.target, target),
                      tgt_mask=mask, tgt_is_causal=True)
        return self.out(x)


model = Translation()
adam = torch.optim.Adam(model.parameters(), 1e-4, (0.9, 0.98), 1e-9)
loss = nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=0)
source, target = (torch.randint(4, VOCABULARY, (64, 32)) for _ in range(2))


def step():
    adam.zero_grad()
    loss(model(source, target).flatten(0, 1), target.flatten()).backward()
    adam.step()


taken = median(step, 10)
print(f"PyTorch {torch.__version__}, {THREADS} threads, training: {1e3 * taken:.0f} ms a step, "
      f"{64 * 32 / taken:.0f} target tokens/s")

config = MarianConfig(
    vocab_size=VOCABULARY, d_model=256, encoder_layers=3, decoder_layers=3,
    encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=1024,
    decoder_ffn_dim=1024, pad_token_id=0, eos_token_id=2, bos_token_id=1,
    decoder_start_token_id=0, forced_eos_token_id=None, max_position_embeddings=512,
)
marian = MarianMTModel(config).eval()
loader = MarianMTLoader()
loader._model = marian
spec = loader.get_model_spec(marian)
# The converter leaves out the last row, where Marian's padding stands.
vocabulary = ["<pad>", "<s>", "</s>", "<unk>"] + [f"t{at}" for at in range(4, VOCABULARY - 1)]
spec.register_source_vocabulary(vocabulary)
spec.register_target_vocabulary(vocabulary)
spec.config.bos_token, spec.config.eos_token = "<s>", "</s>"
spec.config.unk_token, spec.config.decoder_start_token = "<unk>", "<pad>"
spec.validate()
spec.optimize(quantization="float32")
with tempfile.TemporaryDirectory() as folder:
    spec.save(folder)
    peer = ctranslate2.Translator(folder, compute_type="float32", intra_threads=THREADS)

for batch in (32, 1):
    source = torch.randint(4, VOCABULARY - 1, (batch, 20))
    tokens = [[vocabulary[at] for at in row] for row in source.tolist()]
    for beams in (1, 4):
        def generate():
            with torch.no_grad():
                marian.generate(source, num_beams=beams, min_new_tokens=30, max_new_tokens=30,
                                do_sample=False, bad_words_ids=None)

        def translate():
            found = peer.translate_batch(tokens, beam_size=beams, min_decoding_length=30,
                                         max_decoding_length=30)
            assert all(len(result.hypotheses[0]) == 30 for result in found)

        for name, decode in (("Hugging Face", generate),
                             (f"CTranslate2 {ctranslate2.__version__}", translate)):
            taken = median(decode, 9)
            print(f"{name}, batch {batch}, beam {beams}: {1e3 * taken:.1f} ms, "
                  f"{batch * 30 / taken:.0f} target tokens/s")
