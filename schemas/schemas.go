// Package schemas holds the shapes of every record: protobuf for what flows between roles (v1, generated), JSON Schema
// for what IM services and gateways produce, and samples that tests decode. A schema only grows.
package schemas
