package basketotel

import (
	"context"

	"github.com/basket-go/basket"
)

// Store returns s with its time recorded, in a span if there are tracers. It is a
// [basket.BatchStore] if s is one.
func (t *Telemetry) Store(s basket.Store) basket.Store {
	if s == nil {
		return nil
	}
	plain := store{s, t.operation(t.store, "basket.store.row", operationKey{operation: "row"})}
	if b, ok := s.(basket.BatchStore); ok {
		return &batchStore{plain, b, t.operation(t.store, "basket.store.rows", operationKey{operation: "rows"})}
	}
	return &plain
}

type store struct {
	basket.Store
	row *operation
}

// Row returns the row of the store.
func (s *store) Row(ctx context.Context, userID string) (row basket.Row, err error) {
	ctx, c := s.row.start(ctx, 0)
	err = errUnfinished
	defer func() { s.row.end(ctx, c, err) }()
	row, err = s.Store.Row(ctx, userID)
	return row, err
}

type batchStore struct {
	store
	batch basket.BatchStore
	rows  *operation
}

// Rows returns the rows of the store.
func (s *batchStore) Rows(ctx context.Context, userIDs []string) (rows []basket.Row, err error) {
	ctx, c := s.rows.start(ctx, len(userIDs))
	err = errUnfinished
	defer func() { s.rows.end(ctx, c, err) }()
	rows, err = s.batch.Rows(ctx, userIDs)
	return rows, err
}

var _ basket.BatchStore = (*batchStore)(nil)
