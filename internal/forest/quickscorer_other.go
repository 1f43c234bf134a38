//go:build !amd64 || purego

package forest

// There is no AVX-512 here; see quickscorer_amd64.go.

var hasAVX512 = false

const vectorWords = 1

type intervals512 struct{}

func fits512([]intervals) bool { return false }

func newIntervals512([]intervals) []intervals512 { return nil }

func (q *quickScorer[F]) find512([]int, []float64, int) {}

func (q *quickScorer[F]) exits512([]uint8, int, int, []int) {}

func (q *quickScorer[F]) margins512([]float64, []float64) {}

func (q *quickScorer[F]) row512([]float64, []float64) {}
