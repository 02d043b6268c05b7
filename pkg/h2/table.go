package h2

import (
	"bytes"

	"golang.org/x/net/http2/hpack"
)

// table encodes header lists with HPACK's dynamic table.
type table struct {
	encoded bytes.Buffer
	encoder *hpack.Encoder
}

func newTable() *table {
	t := new(table)
	t.encoder = hpack.NewEncoder(&t.encoded)
	return t
}

// resize does as the server's settings say; the next block tells so.
func (t *table) resize(size tableSize) {
	if size.given {
		for _, limit := range []uint32{size.low, size.last} {
			t.encoder.SetMaxDynamicTableSizeLimit(limit)
			t.encoder.SetMaxDynamicTableSize(min(limit, ownTable))
		}
	}
}

// ownTable is how large a table is made where the server allows more, in bytes; it is what HTTP/2 begins with.
const ownTable = 4096

// block is a request's header list, encoded. It is valid until the next call.
func (t *table) block(r *request) []byte {
	t.encoded.Reset()
	t.write(r.fields[:r.pseudo])
	t.encoded.Write(r.block[:r.path])
	t.write(r.fields[r.pseudo:])
	t.encoded.Write(r.block[r.path:r.body])
	return t.encoded.Bytes()
}

func (t *table) write(fields fields) {
	for _, f := range fields {
		_ = t.encoder.WriteField(f) // the buffer takes everything
	}
}
