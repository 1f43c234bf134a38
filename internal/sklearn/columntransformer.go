package sklearn

import (
	"fmt"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/pickle"
)

// columnTransformer reads a ColumnTransformer, which concatenates the columns of its
// transformers (compose/_column_transformer.py, _hstack). Fitting has converted its
// column specifications (numbers, slices, names, masks) to numbers.
func (r *reader) columnTransformer(e object, in frame, depth int) (frame, error) {
	transformers, err := e.list("transformers_")
	if err != nil {
		return in, err
	}
	indices, err := attribute(e, "_transformer_to_input_indices", "a dictionary", asType[*pickle.Dict])
	if err != nil {
		return in, err
	}
	weights, _ := e.Attr("transformer_weights")
	out := frame{columns: []column{}}
	used := make(map[int]bool)
	for _, v := range transformers {
		triple, ok := asList(v)
		if !ok || len(triple) != 3 {
			return in, fmt.Errorf("a transformer is %s: want name, transformer and columns", pickle.Kind(v))
		}
		name, ok := triple[0].(string)
		if !ok {
			return in, fmt.Errorf("the name of a transformer is %s: want a string", pickle.Kind(triple[0]))
		}
		if triple[1] == "drop" {
			continue
		}
		selected, err := r.selectColumns(indices, name, in, used)
		if err == nil && selected.width > 0 {
			selected, err = r.step(triple[1], selected, depth+1)
		}
		if err == nil {
			selected, err = r.weight(selected, weights, name)
		}
		if err != nil {
			return in, fmt.Errorf("transformer %s: %w", filetext.Quote(name), err)
		}
		out.columns = append(out.columns, selected.all()...)
	}
	for j := range in.columns { // columns of the row itself have no checks
		if !used[j] {
			r.drop(in.columns[j])
		}
	}
	out.width = len(out.columns)
	return out, nil
}

// selectColumns returns the columns of the transformer called name.
func (r *reader) selectColumns(indices *pickle.Dict, name string, in frame, used map[int]bool) (frame, error) {
	v, _ := indices.Get(name)
	items, ok := asList(v)
	if !ok {
		return in, fmt.Errorf("the columns are %s: want a list", pickle.Kind(v))
	}
	out := frame{len(items), make([]column, 0, min(len(items), maxOps))}
	for _, v := range items {
		f, ok := pickle.Number(v)
		if !ok {
			return in, fmt.Errorf("a column is %s: want a number", pickle.Kind(v))
		}
		j, err := index(f, in.width)
		if err != nil {
			return in, err
		}
		c, err := r.apply(in.column(j))
		if err != nil {
			return in, err
		}
		used[j] = true
		out.columns = append(out.columns, c)
	}
	return out, nil
}

// weight multiplies the columns of a transformer by its weight, if it has one.
func (r *reader) weight(f frame, weights pickle.Value, name string) (frame, error) {
	d, ok := weights.(*pickle.Dict)
	if !ok {
		return f, nil
	}
	v, ok := d.Get(name)
	if !ok || v == nil {
		return f, nil
	}
	weight, ok := pickle.Number(v)
	if !ok {
		return f, fmt.Errorf("the weight is %s: want a number", pickle.Kind(v))
	}
	return r.applyAll(f, func(int) []op { return []op{{kind: opMultiply, a: weight}} })
}
