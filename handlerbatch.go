package basket

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"
)

// The defaults of WithMaxBatch. A valid user ID has at most 1,024 bytes.
const (
	maxBatchUsers = 10_000
	maxBatchBody  = 16 << 20
)

// predictBatch answers POST /predict/batch. The answer is 200 whatever became of
// the single users, unless the store or the model could not be reached for any of
// them.
func (h *handler) predictBatch(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) *failure {
	if r.Method != http.MethodPost {
		return notAllowed(w, "POST")
	}
	if fail := readBody(w, r, buf, h.maxBatchBody); fail != nil {
		return fail
	}
	userIDs, fail := userIDsOf(buf.Bytes(), h.maxBatchUsers)
	if fail != nil {
		return fail
	}
	results := h.p.PredictBatch(r.Context(), userIDs)
	if fail := failureOfAll(results); fail != nil {
		if fail.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		return fail
	}
	buf.Reset()
	buf.WriteString(`{"results":[`)
	for i := range results {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.WriteString(`{"user_id":`)
		buf.Write(appendJSON(buf.AvailableBuffer(), results[i].UserID))
		if err := results[i].Err; err != nil {
			fail := failureOf(err)
			buf.WriteString(`,"error":{"type":"`)
			buf.WriteString(errorType(fail.status))
			buf.WriteString(`","detail":`)
			buf.Write(appendJSON(buf.AvailableBuffer(), fail.detail))
			buf.WriteByte('}')
		} else {
			buf.WriteString(`,"predicted_price":`)
			buf.Write(appendNumber(buf.AvailableBuffer(), results[i].Value))
		}
		if age := results[i].Row.Age; age > 0 {
			buf.WriteString(`,"row_age_seconds":`)
			buf.WriteString(wholeSeconds(age))
		}
		if id := results[i].ModelID; id != "" {
			buf.WriteString(`,"model":`)
			buf.Write(appendJSON(buf.AvailableBuffer(), id))
		}
		buf.WriteByte('}')
	}
	buf.WriteString(`],"timestamp":"`)
	buf.Write(appendTimestamp(buf.AvailableBuffer()))
	buf.WriteString(`"}`)
	return nil
}

// failureOfAll returns the failure of a batch in which no valid user has an answer
// because of the store or the client, which need not ask for each user again.
func failureOfAll(results []Result) *failure {
	var first error
	for i := range results {
		err := results[i].Err
		switch {
		case errors.Is(err, ErrInvalidRequest):
		case errors.Is(err, ErrUnavailable), errors.Is(err, ErrCanceled):
			if first == nil {
				first = err
			}
		default:
			return nil
		}
	}
	if first == nil {
		return nil
	}
	return failureOf(first)
}

// errorType is the "type" of an error in the results of a batch.
func errorType(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "invalid_user_id"
	case http.StatusNotFound:
		return "user_not_found"
	case http.StatusConflict:
		return "stale_row"
	case http.StatusInternalServerError:
		return "prediction_error"
	}
	return "unavailable"
}

// userIDsOf returns the array of strings "user_ids" of a JSON object. It is as
// strict as userIDOf. An ID that is no valid user ID is not a fault of the request.
func userIDsOf(body []byte, most int) ([]string, *failure) {
	value, fault := fieldOf(body, "user_ids")
	if fault != "" {
		return nil, invalid(http.StatusBadRequest, fault)
	}
	if value[0] != '[' {
		return nil, invalid(http.StatusBadRequest, "Field user_ids is not an array")
	}
	var userIDs []string
	rest := bytes.TrimLeft(value[1:], jsonSpace)
	for rest[0] != ']' {
		if len(userIDs) == most {
			return nil, invalid(http.StatusRequestEntityTooLarge, fmt.Sprintf("Field user_ids has over %d user IDs", most))
		}
		element := rest[:jsonLength(rest)]
		rest = bytes.TrimLeft(rest[len(element):], jsonSpace+",")
		if element[0] != '"' {
			return nil, invalid(http.StatusBadRequest, fmt.Sprintf("Field user_ids[%d] is not a string", len(userIDs)))
		}
		userID, fault := jsonString(element)
		if fault != "" {
			return nil, invalid(http.StatusBadRequest, fmt.Sprintf("Field user_ids[%d] %s", len(userIDs), fault))
		}
		userIDs = append(userIDs, userID)
	}
	return userIDs, nil
}

// fieldOf returns the value of a field of the JSON object that body must be, or
// what is wrong with the body. Package json alone would accept "USER_ID" for
// "user_id", take the last of several, and replace what is not UTF-8 by U+FFFD: the
// ID of another user, perhaps.
func fieldOf(body []byte, field string) (found []byte, fault string) {
	switch {
	case !utf8.Valid(body):
		return nil, "Request body is not UTF-8"
	case !json.Valid(body):
		return nil, "Request body is not one JSON value"
	}
	body = bytes.TrimLeft(body, jsonSpace)
	if body[0] != '{' {
		return nil, "Request body is not a JSON object"
	}
	body = bytes.TrimLeft(body[1:], jsonSpace)
	for body[0] != '}' {
		name := body[:jsonLength(body)]
		body = bytes.TrimLeft(body[len(name):], jsonSpace+":")
		value := body[:jsonLength(body)]
		body = bytes.TrimLeft(body[len(value):], jsonSpace+",")
		if !isName(name, field) {
			continue
		}
		if found != nil {
			return nil, "Field " + field + " is given twice"
		}
		found = value
	}
	if found == nil {
		return nil, "Field " + field + " is missing"
	}
	return found, ""
}
