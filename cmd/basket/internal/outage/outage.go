// Package outage wraps a store of feature rows for the time in which it is slow or gone.
// The wrappers keep whether a store is a [basket.BatchStore] and a [basket.Deleter], are
// safe for concurrent use, start no goroutine and need no Close. Their order, from the
// store outwards:
//
//	basket.LimitStore   a call that takes too long fails
//	NewBreaker          after some failures, calls fail at once
//	NewCache            instead of failing, a call returns the last row that is known
//
// Without a time limit inside it, a Breaker waits for a call that never ends.
package outage

import (
	"context"
	"errors"

	"github.com/basket-go/basket"
)

// isDown reports whether err says that a store cannot be read now. It is so for each
// error that a Predictor takes for ErrUnavailable.
func isDown(ctx context.Context, err error) bool {
	if err == nil || isCanceled(ctx, err) {
		return false
	}
	kind, ok := errors.AsType[basket.Error](err)
	return !ok || kind == basket.ErrUnavailable
}

// isCanceled reports whether err says that the caller canceled ctx.
func isCanceled(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled)
}

// fullStore has the methods that a wrapper may need.
type fullStore interface {
	basket.BatchStore
	basket.Deleter
}

// like returns w with the interfaces of inner alone.
func like(inner basket.Store, w fullStore) basket.Store {
	_, isBatch := inner.(basket.BatchStore)
	_, isDeleter := inner.(basket.Deleter)
	switch {
	case isBatch && isDeleter:
		return w
	case isBatch:
		return struct{ basket.BatchStore }{w}
	case isDeleter:
		return struct {
			basket.Store
			basket.Deleter
		}{w, w}
	}
	return struct{ basket.Store }{w}
}
