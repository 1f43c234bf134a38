package sklearn

import (
	"errors"
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/pickle"
)

// columnTransformer does a ColumnTransformer: its transformers' columns one
// after the other (compose/_column_transformer.py, _hstack). What its columns are
// given as, be it numbers, a slice, names or a mask, it has made numbers of when
// it was fitted.
func (r *reader) columnTransformer(e part, in frame, depth int) (frame, error) {
	transformers, err := e.list("transformers_")
	if err != nil {
		return in, err
	}
	indices, err := e.get("_transformer_to_input_indices")
	if err != nil {
		return in, err
	}
	of, ok := indices.(*pickle.Dict)
	if !ok {
		return in, fmt.Errorf("_transformer_to_input_indices is %s: want a dictionary", pickle.Kind(indices))
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
			return in, fmt.Errorf("a transformer is called %s", pickle.Kind(triple[0]))
		}
		if triple[1] == "drop" {
			continue
		}
		part, err := r.selected(of, name, in, used)
		if err == nil && part.width > 0 {
			part, err = r.step(triple[1], part, depth+1)
		}
		if err == nil {
			part, err = r.weighted(part, weights, name)
		}
		if err != nil {
			return in, fmt.Errorf("transformer %s: %w", name, err)
		}
		out.columns = append(out.columns, part.all()...)
	}
	for j := range in.columns { // if there is none yet, there are no checks either
		if !used[j] {
			r.dropped(in.columns[j])
		}
	}
	out.width = len(out.columns)
	return out, nil
}

// selected returns the columns of the transformer called name.
func (r *reader) selected(of *pickle.Dict, name string, in frame, used map[int]bool) (frame, error) {
	v, _ := of.Get(name)
	items, ok := asList(v)
	if !ok {
		return in, fmt.Errorf("its columns are %s: want a list", pickle.Kind(v))
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
		c, err := r.then(in.column(j))
		if err != nil {
			return in, err
		}
		used[j] = true
		out.columns = append(out.columns, c)
	}
	return out, nil
}

// weighted multiplies a transformer's columns by its weight, if it has one.
func (r *reader) weighted(f frame, weights pickle.Value, name string) (frame, error) {
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
		return f, fmt.Errorf("its weight is %s: want a number", pickle.Kind(v))
	}
	out := frame{f.width, make([]column, f.width)}
	for j := range out.columns {
		var err error
		if out.columns[j], err = r.then(f.column(j), op{kind: opMultiply, a: weight}); err != nil {
			return f, err
		}
	}
	return out, nil
}

// encoder does an OrdinalEncoder as HistGradientBoostingRegressor makes it: a
// category becomes its place among the known ones, all else NaN.
func (r *reader) encoder(e part, in frame) (frame, error) {
	unknown, err := e.float("unknown_value")
	if err != nil || !math.IsNaN(unknown) || !e.is("handle_unknown", "use_encoded_value") {
		return in, errors.New("want handle_unknown=\"use_encoded_value\" and unknown_value=nan")
	}
	if missing, err := e.float("encoded_missing_value"); err != nil || !math.IsNaN(missing) {
		return in, errors.New("want encoded_missing_value=nan")
	}
	if v, ok := e.Attr("_infrequent_enabled"); ok && v != false {
		return in, errors.New("infrequent categories are not read")
	}
	lists, err := e.list("categories_")
	if err != nil {
		return in, err
	}
	if len(lists) != in.width {
		return in, fmt.Errorf("categories_: %d lists for %d columns", len(lists), in.width)
	}
	out := frame{in.width, make([]column, in.width)}
	for j, v := range lists {
		a, ok := v.(*pickle.Array)
		if !ok {
			return in, fmt.Errorf("categories_[%d] is %s: want an array", j, pickle.Kind(v))
		}
		if r.ops += a.Len() / 4; r.ops > maxOps {
			return in, fmt.Errorf("categories_[%d]: more than %d operations on columns", j, maxOps)
		}
		table, err := a.Floats()
		if err != nil {
			return in, fmt.Errorf("categories_[%d]: %w", j, err)
		}
		if n := len(table); n > 0 && math.IsNaN(table[n-1]) {
			table = table[:n-1]
		}
		for i, v := range table {
			if v != v || i > 0 && v <= table[i-1] {
				return in, fmt.Errorf("categories_[%d][%d] = %v: want them to rise", j, i, v)
			}
		}
		if out.columns[j], err = r.then(in.column(j), op{kind: opEncode, table: table}); err != nil {
			return in, err
		}
	}
	return out, nil
}
