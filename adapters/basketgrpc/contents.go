package basketgrpc

import (
	"encoding/binary"
	"math"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
)

// dataOf returns the elements of an input in the raw form. Those of a datatype that is not
// known are left to package oip, which refuses it.
func dataOf(in *inferencepb.ModelInferRequest_InferInputTensor) (data []byte, err error) {
	c := in.GetContents()
	le := binary.LittleEndian
	used := 0 // elements of the datatype's field
	outOfRange := func(i int, v any) error {
		return invalid("input %.100q: element %d is %v: want a number of %s", in.GetName(), i, v, in.GetDatatype())
	}
	switch in.GetDatatype() {
	case "FP64":
		used = len(c.GetFp64Contents())
		data = make([]byte, 0, 8*used)
		for _, v := range c.GetFp64Contents() {
			data = le.AppendUint64(data, math.Float64bits(v))
		}
	case "FP32":
		used = len(c.GetFp32Contents())
		data = make([]byte, 0, 4*used)
		for _, v := range c.GetFp32Contents() {
			data = le.AppendUint32(data, math.Float32bits(v))
		}
	case "INT64":
		used = len(c.GetInt64Contents())
		data = make([]byte, 0, 8*used)
		for _, v := range c.GetInt64Contents() {
			data = le.AppendUint64(data, uint64(v))
		}
	case "UINT64":
		used = len(c.GetUint64Contents())
		data = make([]byte, 0, 8*used)
		for _, v := range c.GetUint64Contents() {
			data = le.AppendUint64(data, v)
		}
	case "INT32", "INT16", "INT8":
		used = len(c.GetIntContents())
		size := map[string]int{"INT32": 4, "INT16": 2, "INT8": 1}[in.GetDatatype()]
		for i, v := range c.GetIntContents() {
			if s := 32 - 8*size; v<<s>>s != v {
				return nil, outOfRange(i, v)
			}
			data = append(data, le.AppendUint32(nil, uint32(v))[:size]...)
		}
	case "UINT32", "UINT16", "UINT8":
		used = len(c.GetUintContents())
		size := map[string]int{"UINT32": 4, "UINT16": 2, "UINT8": 1}[in.GetDatatype()]
		for i, v := range c.GetUintContents() {
			if s := 32 - 8*size; v<<s>>s != v {
				return nil, outOfRange(i, v)
			}
			data = append(data, le.AppendUint32(nil, v)[:size]...)
		}
	case "BYTES":
		used = len(c.GetBytesContents())
		for _, v := range c.GetBytesContents() {
			data = append(le.AppendUint32(data, uint32(len(v))), v...)
		}
	default:
		return nil, nil
	}
	if n := elements(c); n != used {
		return nil, invalid("input %.100q: %d elements in the fields of other datatypes: want all in that of %s", in.GetName(), n-used, in.GetDatatype())
	}
	return data, nil
}

// elements returns the number of elements in all fields.
func elements(c *inferencepb.InferTensorContents) int {
	return len(c.GetBoolContents()) + len(c.GetIntContents()) + len(c.GetInt64Contents()) + len(c.GetUintContents()) +
		len(c.GetUint64Contents()) + len(c.GetFp32Contents()) + len(c.GetFp64Contents()) + len(c.GetBytesContents())
}
