package basket

import (
	"bytes"
	"fmt"
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
		now := s.table.Load().rows.Load()
		return bytes.Contains(slices.Concat(now.keys...), []byte("secret")) || slices.Contains(slices.Concat(now.values...), 17) ||
			slices.Contains(slices.Concat(now.values...), 18)
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

// bytesOf returns the memory of a store's arrays.
func bytesOf(s *MemoryStore) int {
	t := s.table.Load()
	n := 8 * len(t.slots)
	for _, chunk := range t.rows.Load().records {
		n += 32 * cap(chunk)
	}
	for _, chunk := range t.rows.Load().values {
		n += 8 * cap(chunk)
	}
	for _, chunk := range t.rows.Load().keys {
		n += cap(chunk)
	}
	return n
}

// TestMemoryStore_memory: at most 230 bytes a user with four values and an ID of 128
// bytes, where the slots have just been doubled; and after each row was replaced ten
// times, a fourth of records and values more.
func TestMemoryStore_memory(t *testing.T) {
	const users = 1<<13 + 1
	rows := func(n int) []Row {
		rows := make([]Row, users)
		for i := range rows {
			rows[i] = Row{UserID: fmt.Sprintf("%0128d", i), OrderedAt: time.Unix(int64(n), 0), Values: make([]float64, 4)}
		}
		return rows
	}
	s, err := NewMemoryStore(Values(rows(0)))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytesOf(s); n > 230*users {
		t.Errorf("%d bytes a user, want at most 230", n/users)
	}
	for n := range 10 {
		if err := s.Put(t.Context(), rows(n)); err != nil {
			t.Fatal(err)
		}
	}
	// A chunk of records and values has 256 KiB, one of IDs 1 MiB.
	if n := bytesOf(s); n > (230+64/4)*users+256<<10+1<<20 {
		t.Errorf("%d bytes a user after Put, want at most %d", n/users, 230+64/4)
	}
}
