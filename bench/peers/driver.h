/* What the drivers of C libraries have in common: a process that stays alive
 * and measures when it is told to, on one thread.
 *
 *   DRIVER MODEL ROWS NROWS NCOLUMNS CLOCK
 *
 * ROWS is a file of float64 in the machine's order, row-major. CLOCK is
 * "wall" or "cpu", the processor time of the process. The first answer is
 * "ready VERSION"; then each line of standard input has one answer:
 *
 *   one N      predicts N rows, each by a call of its own: nanoseconds a row
 *   batch N    predicts all rows by one call, N times: nanoseconds a row
 *   out FILE   writes the predictions one by one and then those of the batch,
 *              as float64: "ok"
 *
 * What goes wrong is said on standard error, and ends the process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The library's part. */
static const char* start(const char* model, const double* rows, long n, long columns); /* returns the version */
static double one(long row);
static void batch(double* out);

static void fail(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static clockid_t which = CLOCK_MONOTONIC;

static double clock_ns(void) {
  struct timespec t;
  clock_gettime(which, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc != 6) fail(argv[0], "want MODEL ROWS NROWS NCOLUMNS CLOCK");
  if (!strcmp(argv[5], "cpu")) which = CLOCK_PROCESS_CPUTIME_ID;
  long n = atol(argv[3]), columns = atol(argv[4]);
  if (n < 1 || columns < 1) fail(argv[0], "no rows");
  size_t values = (size_t)n * (size_t)columns;
  double* rows = malloc(values * sizeof *rows);
  double* out = malloc((size_t)n * sizeof *out);
  FILE* f = fopen(argv[2], "rb");
  if (!rows || !out || !f || fread(rows, sizeof *rows, values, f) != values) fail(argv[2], "cannot be read");
  fclose(f);
  printf("ready %s\n", start(argv[1], rows, n, columns));
  fflush(stdout);

  char line[4096], path[4000];
  long times, at = 0;
  volatile double sink = 0;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "one %ld", &times) == 1) {
      double t = clock_ns();
      for (long i = 0; i < times; i++) {
        sink += one(at);
        if (++at == n) at = 0;
      }
      printf("%.3f\n", (clock_ns() - t) / (double)times);
    } else if (sscanf(line, "batch %ld", &times) == 1) {
      double t = clock_ns();
      for (long i = 0; i < times; i++) batch(out);
      printf("%.3f\n", (clock_ns() - t) / (double)times / (double)n);
    } else if (sscanf(line, "out %3999[^\n]", path) == 1) {
      if (!(f = fopen(path, "wb"))) fail(path, "cannot be written");
      for (long i = 0; i < n; i++) {
        double y = one(i);
        fwrite(&y, sizeof y, 1, f);
      }
      batch(out);
      fwrite(out, sizeof *out, (size_t)n, f);
      if (fclose(f)) fail(path, "cannot be written");
      printf("ok\n");
    } else {
      fail(line, "no command");
    }
    fflush(stdout);
  }
  return 0;
}
