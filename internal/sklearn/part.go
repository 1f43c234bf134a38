package sklearn

import (
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/pickle"
)

// A part is an estimator or something that one is made of. The getters' errors
// name the attribute.
type part struct{ *pickle.Object }

func asPart(v pickle.Value) (part, error) {
	o, ok := v.(*pickle.Object)
	if !ok {
		return part{}, fmt.Errorf("%s: want an object of scikit-learn", pickle.Kind(v))
	}
	return part{o}, nil
}

// in puts the class in front of an error.
func (p part) in(err error) error { return fmt.Errorf("%s: %w", p.Name(), err) }

func (p part) get(name string) (pickle.Value, error) {
	v, ok := p.Attr(name)
	if !ok {
		return nil, fmt.Errorf("%s is missing; was the model fitted?", name)
	}
	return v, nil
}

// is reports whether the attribute is there and is the text.
func (p part) is(name, text string) bool {
	v, ok := p.Attr(name)
	return ok && v == pickle.Value(text)
}

func (p part) object(name string) (part, error) {
	v, err := p.get(name)
	if err != nil {
		return part{}, err
	}
	o, err := asPart(v)
	if err != nil {
		return part{}, fmt.Errorf("%s is %w", name, err)
	}
	return o, nil
}

// number is a whole number from low to high.
func (p part) number(name string, low, high int) (int, error) {
	v, err := p.get(name)
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok || n < int64(low) || n > int64(high) {
		return 0, fmt.Errorf("%s is %s: want a whole number from %d to %d", name, pickle.Kind(v), low, high)
	}
	return int(n), nil
}

// float is a number, which an array of one item is as well.
func (p part) float(name string) (float64, error) {
	v, err := p.get(name)
	if err != nil {
		return 0, err
	}
	if a, ok := v.(*pickle.Array); ok && a.Len() == 1 {
		values, err := a.Floats()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return values[0], nil
	}
	f, ok := pickle.Number(v)
	if !ok {
		return 0, fmt.Errorf("%s is %s: want a number", name, pickle.Kind(v))
	}
	return f, nil
}

func (p part) flag(name string) (bool, error) {
	v, err := p.get(name)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("%s is %s: want a bool", name, pickle.Kind(v))
	}
	return b, nil
}

func (p part) text(name string) (string, error) {
	v, err := p.get(name)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%s is %s: want a text", name, pickle.Kind(v))
	}
	return s, nil
}

func (p part) array(name string) (*pickle.Array, error) {
	v, err := p.get(name)
	if err != nil {
		return nil, err
	}
	a, ok := v.(*pickle.Array)
	if !ok || a.Dtype == nil {
		return nil, fmt.Errorf("%s is %s: want an array", name, pickle.Kind(v))
	}
	return a, nil
}

// floats is an array of n numbers.
func (p part) floats(name string, n int) ([]float64, error) {
	a, err := p.array(name)
	if err != nil {
		return nil, err
	}
	if a.Len() != n {
		return nil, fmt.Errorf("%s: shape %v: want %d items", name, a.Shape, n)
	}
	values, err := a.Floats()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return values, nil
}

// list is a list or a tuple.
func (p part) list(name string) ([]pickle.Value, error) {
	v, err := p.get(name)
	if err != nil {
		return nil, err
	}
	items, ok := asList(v)
	if !ok {
		return nil, fmt.Errorf("%s is %s: want a list", name, pickle.Kind(v))
	}
	return items, nil
}

func asList(v pickle.Value) ([]pickle.Value, bool) {
	switch v := v.(type) {
	case *pickle.List:
		return v.Items, true
	case pickle.Tuple:
		return v, true
	}
	return nil, false
}

// version is the release of scikit-learn that wrote the part, 1.9 as 109; 0 if
// it does not tell.
func (p part) version() int {
	text, err := p.text("_sklearn_version")
	if err != nil {
		return 0
	}
	var major, minor int
	if n, _ := fmt.Sscanf(text, "%d.%d", &major, &minor); n != 2 || major < 0 || minor < 0 || minor > 99 || major > math.MaxInt16 {
		return 0
	}
	return 100*major + minor
}
