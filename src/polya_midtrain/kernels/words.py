"""Term frequencies of words and of pairs of neighbouring words: a kernel for any text that needs no model.

It sees wording, not meaning: two traces that say the same in other words count as different.
"""

from __future__ import annotations

from collections.abc import Sequence

from polya_midtrain.science.vendi import Array

KERNEL = "words and word pairs"
_WORD = r"\w+|[^\w\s]"  # signs count too: in mathematics they are half the text


def embed(responses: Sequence[str]) -> dict[str, Array]:
    """Vectors (responses, terms) of unit length under the kernel's name; an empty response is a term of its own."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(use_idf=False, ngram_range=(1, 2), token_pattern=_WORD)
    texts = [response if response.strip() else "<nothing>" for response in responses]
    return {KERNEL: vectorizer.fit_transform(texts).toarray()}
