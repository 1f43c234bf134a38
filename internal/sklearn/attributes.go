package sklearn

import (
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/pickle"
)

// An object is an estimator or an object that one refers to. Its methods return
// attributes of a wanted type; their errors name the attribute.
type object struct{ *pickle.Object }

func asObject(v pickle.Value) (object, error) {
	o, ok := v.(*pickle.Object)
	if !ok {
		return object{}, fmt.Errorf("%s: want an object of scikit-learn", pickle.Kind(v))
	}
	return object{o}, nil
}

// wrap puts the class in front of an error.
func (o object) wrap(err error) error { return fmt.Errorf("%s: %w", o.Name(), err) }

func (o object) get(name string) (pickle.Value, error) {
	v, ok := o.Attr(name)
	if !ok {
		return nil, fmt.Errorf("%s is missing; was the model fitted?", name)
	}
	return v, nil
}

// attribute returns the attribute if convert accepts it.
func attribute[T any](o object, name, want string, convert func(pickle.Value) (T, bool)) (T, error) {
	var zero T
	v, err := o.get(name)
	if err != nil {
		return zero, err
	}
	t, ok := convert(v)
	if !ok {
		return zero, fmt.Errorf("%s is %s: want %s", name, pickle.Kind(v), want)
	}
	return t, nil
}

func asType[T any](v pickle.Value) (T, bool) {
	t, ok := v.(T)
	return t, ok
}

// is reports whether the attribute exists and is the string s.
func (o object) is(name, s string) bool {
	v, ok := o.Attr(name)
	return ok && v == pickle.Value(s)
}

func (o object) object(name string) (object, error) {
	p, err := attribute(o, name, "an object of scikit-learn", asType[*pickle.Object])
	return object{p}, err
}

// number returns a whole number from low to high.
func (o object) number(name string, low, high int) (int, error) {
	return attribute(o, name, fmt.Sprintf("a whole number from %d to %d", low, high), func(v pickle.Value) (int, bool) {
		n, ok := v.(int64)
		return int(n), ok && n >= int64(low) && n <= int64(high)
	})
}

// float returns a number or the item of an array of one.
func (o object) float(name string) (float64, error) {
	return attribute(o, name, "a number", func(v pickle.Value) (float64, bool) {
		if a, ok := v.(*pickle.Array); ok && a.Len() == 1 {
			values, err := a.Floats()
			return append(values, 0)[0], err == nil
		}
		return pickle.Number(v)
	})
}

func (o object) flag(name string) (bool, error) {
	return attribute(o, name, "a bool", asType[bool])
}

func (o object) array(name string) (*pickle.Array, error) {
	return attribute(o, name, "an array", func(v pickle.Value) (*pickle.Array, bool) {
		a, ok := v.(*pickle.Array)
		return a, ok && a.Dtype != nil
	})
}

// floats returns an array of n numbers.
func (o object) floats(name string, n int) ([]float64, error) {
	a, err := o.array(name)
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

// list returns the items of a list or tuple.
func (o object) list(name string) ([]pickle.Value, error) {
	return attribute(o, name, "a list", asList)
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

// version returns the release of scikit-learn that wrote the object, 109 for 1.9, or
// 0 if the file does not have it.
func (o object) version() int {
	v, _ := o.Attr("_sklearn_version")
	text, _ := v.(string)
	var major, minor int
	if n, _ := fmt.Sscanf(text, "%d.%d", &major, &minor); n != 2 || major < 0 || minor < 0 || minor > 99 || major > math.MaxInt16 {
		return 0
	}
	return 100*major + minor
}
