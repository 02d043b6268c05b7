package wire

import (
	"net/http"
	"strconv"
)

// Replies are encoded without the dynamic table and without Huffman's code: the ids in them are new each time, and a
// block that depends on no state can be written in any order.

// appendStatus writes :status.
func appendStatus(dst []byte, status int) []byte {
	switch status { // what the static table has whole
	case http.StatusOK:
		return append(dst, 0x88)
	case http.StatusNoContent:
		return append(dst, 0x89)
	case http.StatusBadRequest:
		return append(dst, 0x8c)
	case http.StatusNotFound:
		return append(dst, 0x8d)
	case http.StatusInternalServerError:
		return append(dst, 0x8e)
	}
	return appendText(append(dst, 0x08), strconv.Itoa(status)) // a literal with the name of entry 8
}

// appendField writes a literal that no table keeps.
func appendField(dst []byte, name, value string) []byte {
	return appendText(appendText(append(dst, 0x00), name), value)
}

// appendText writes a string of RFC 7541, 5.2: its length as an integer with a prefix of 7 bits, then its bytes.
func appendText(dst []byte, s string) []byte {
	n := len(s)
	if n < 0x7f {
		return append(append(dst, byte(n)), s...)
	}
	dst = append(dst, 0x7f)
	for n -= 0x7f; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(append(dst, byte(n)), s...)
}
