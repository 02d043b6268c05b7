// Package h2 is an HTTP/2 client for many small requests. Requests flow in from any number of goroutines; one goroutine
// per connection encodes whatever is ready and writes it at once, another one reads, and whole responses flow back out of
// memory. [Conn] is one connection, [Pool] a few of them to one server, [Transport] an [http.RoundTripper] to several.
//
// It promises that every request gets an answer or an error, that an error says whether the server can have processed the
// request ([ErrNotProcessed]), that the server's limits are kept as they change, that streams, queues, header lists and
// responses are bounded, and that nothing is left behind after Close. It logs nothing, and its errors quote neither paths
// nor header fields of a request.
//
// It differs from net/http in that a response is returned when it is whole: its body is in memory, bounded by
// [Settings.MaxResponse]. It follows no redirects, keeps no cookies, compresses nothing and adds no User-Agent. Request
// trailers, CONNECT, upgrades and server push are not supported.
package h2
