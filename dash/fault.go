package dash

import (
	"errors"
	"net/http"

	"github.com/basket-go/basket"
)

// faultOf returns the status for an error about a user, and a sentence that says what to
// do. It does not quote the error, which may have addresses of stores.
func faultOf(err error, userID string) (int, note) {
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return http.StatusOK, note{Before: "This model can predict but not explain: it has several margins, linear leaves, or no numbers of training rows in its file. " +
			"Train it with one output, or save it with its node statistics, to see contributions."}
	case errors.Is(err, basket.ErrInvalidRequest):
		return http.StatusBadRequest, note{"", userID, " cannot be a user ID: want 1 to 1024 bytes of UTF-8 without control characters. Correct it and ask again."}
	case errors.Is(err, basket.ErrUserNotFound):
		return http.StatusNotFound, note{"There is no feature row of the user ", userID, ". Check the ID; a new user appears when the data is loaded again."}
	case errors.Is(err, basket.ErrStale):
		return http.StatusConflict, note{"The row of the user ", userID, " is older than is allowed, so there is no price. Load newer data, or allow older rows."}
	case errors.Is(err, basket.ErrUnavailable), errors.Is(err, basket.ErrCanceled):
		return http.StatusServiceUnavailable, note{Before: "The store or the model does not answer. Try again in a moment; the service log says why."}
	case errors.Is(err, basket.ErrFeatureMismatch), errors.Is(err, basket.ErrData):
		return http.StatusInternalServerError, note{"The row of the user ", userID, " does not fit the store's features. Materialize the rows again; the service log says more."}
	}
	return http.StatusInternalServerError, note{Before: "The model failed on this row. Look into the service log for the cause."}
}
