package sklearn

import (
	"context"
	"fmt"
	"math"
)

// Explain sets dst to the contribution of each feature of row to the margin, and
// returns the bias: by TreeSHAP for trees, coefficient times value for linear
// functions. What the model sees of a column is that feature's; a feature that it
// sees several times gets the sum. All are NaN for a row that is refused. Errors
// other than ctx's are of the model: no row of it can be explained.
func (p *Pipeline) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	if len(dst) != p.features || len(row) != p.features {
		return 0, fmt.Errorf("%d values and room for %d contributions: want %d of each", len(row), len(dst), p.features)
	}
	seen, taken := row, true
	if p.columns != nil {
		seen = make([]float64, len(p.columns))
		taken = p.see(seen, row)
	} else {
		for _, v := range row {
			taken = taken && p.takes.has(v)
		}
	}
	if !taken {
		for j := range dst {
			dst[j] = math.NaN()
		}
		return math.NaN(), nil
	}
	own := make([]float64, len(seen))
	if p.forest == nil {
		bias = p.intercept
		for j, c := range p.coef {
			own[j] = c * seen[j]
		}
	} else if bias, err = p.forest.Explain(ctx, own, seen); err != nil {
		return 0, err
	}
	if n := float64(p.mean); n > 0 {
		bias /= n
		for j := range own {
			own[j] /= n
		}
	}
	clear(dst)
	for j, c := range own {
		from := j
		if p.columns != nil {
			from = p.columns[j].from
		}
		dst[from] += c
	}
	return bias, nil
}
