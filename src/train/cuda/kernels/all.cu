// Every kernel, as one module.
#include "activation.cu"
#include "attention.cu"
#include "cross_entropy.cu"
#include "embedding.cu"
#include "norm.cu"
#include "optimizer.cu"
#include "product.cu"
#include "watch.cu"
