//go:build !race

package basketleaves_test

// raced tells that the race detector is on.
const raced = false
