#pragma once
#include "values.h"

namespace troupe::js {

/** Adds what works on a model: `open` and everything that takes what it returned. */
void define_model(napi_env env, napi_value exports);

/** Adds what sampling asks of a row of logits. */
void define_logit_tools(napi_env env, napi_value exports);

/** Adds what preparing a model asks: rows of weights into tiles. */
void define_packing(napi_env env, napi_value exports);

}  // namespace troupe::js
