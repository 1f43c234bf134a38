//go:build !amd64 || purego

package forest

// Without lanes all is done by plain Go; see lanes_amd64.go.

var lanes = false

const laneWords = 1

type laneAxis struct{}

func lanesFit([]axis) bool { return false }

func newLanes([]axis) []laneAxis { return nil }

func (t *table[F]) laneFind(*Forest, []int, []float64, int) {}

func (t *table[F]) laneNumbers([]uint8, int, int, []int) {}

func (t *table[F]) laneMargin(*Forest, []float64, []float64) {}

func (t *table[F]) laneOne(*Forest, []float64, []float64) {}
