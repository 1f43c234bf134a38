package basket

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// TestMemoryStore_DeleteLeavesNothing looks for a deleted user in the memory of the
// store: neither ID nor values are there.
func TestMemoryStore_DeleteLeavesNothing(t *testing.T) {
	at := func(id string, second int, v float64) Row {
		return Row{UserID: id, OrderedAt: time.Unix(int64(second), 0), Values: []float64{v, v, v, v}}
	}
	s, err := NewMemoryStore(Values([]Row{at("other", 1, 1), at("secret", 1, 17)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), []Row{at("secret", 2, 18), at("another", 1, 2)}); err != nil {
		t.Fatal(err)
	}
	holds := func() bool {
		now := s.table.Load()
		return bytes.Contains(now.keys, []byte("secret")) || slices.Contains(now.values, 17) || slices.Contains(now.values, 18)
	}
	if !holds() {
		t.Fatal("the test cannot see the user")
	}
	if err := s.Delete(t.Context(), []string{"secret"}); err != nil {
		t.Fatal(err)
	}
	if holds() {
		t.Error("the ID or a value of the deleted user is still there")
	}
}
