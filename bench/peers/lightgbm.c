/* LightGBM through its C interface. Single rows use the "fast" call with a prepared
 * configuration. */
#include <stdint.h>

#include "driver.h"

int LGBM_BoosterCreateFromModelfile(const char*, int*, void**);
int LGBM_BoosterPredictForMatSingleRowFastInit(void*, int, int, int, int, int32_t, const char*, void**);
int LGBM_BoosterPredictForMatSingleRowFast(void*, const void*, int64_t*, double*);
int LGBM_BoosterPredictForMat(void*, const void*, int, int32_t, int32_t, int, int, int, int, const char*, int64_t*, double*);
const char* LGBM_GetLastError(void);

enum { PREDICT_NORMAL = 0, DTYPE_FLOAT64 = 1, ROW_MAJOR = 1 };

static void *booster, *fast_config;
static const double* x;
static long count, width;

static void check(int status) {
  if (status) fail("lightgbm", LGBM_GetLastError());
}

static const char* start(const char* model, const double* rows, long n, long columns) {
  int rounds;
  x = rows, count = n, width = columns;
  check(LGBM_BoosterCreateFromModelfile(model, &rounds, &booster));
  check(LGBM_BoosterPredictForMatSingleRowFastInit(booster, PREDICT_NORMAL, 0, 0, DTYPE_FLOAT64, (int32_t)columns, "num_threads=1", &fast_config));
  return VERSION;
}

static double one(long row) {
  int64_t length;
  double y;
  check(LGBM_BoosterPredictForMatSingleRowFast(fast_config, x + row * width, &length, &y));
  return y;
}

static void batch(double* out) {
  int64_t length;
  check(LGBM_BoosterPredictForMat(booster, x, DTYPE_FLOAT64, (int32_t)count, (int32_t)width, ROW_MAJOR, PREDICT_NORMAL, 0, 0, "num_threads=1", &length, out));
}
