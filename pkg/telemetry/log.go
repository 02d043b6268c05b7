package telemetry

import (
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Of lines with the same level and text, logFirst in a second are written and then every logEvery-th: trouble with each
// of many thousand notifications a second must not become as many lines.
const (
	logFirst = 100
	logEvery = 1000
)

// NewLogger returns a logger to stderr. level is debug, info, warn or error, format json or console, as the
// configuration accepts them; anything else counts as info and json.
func NewLogger(level, format string) *zap.Logger {
	return newLogger(level, format, zapcore.Lock(os.Stderr))
}

func newLogger(level, format string, out zapcore.WriteSyncer) *zap.Logger {
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		at = zapcore.InfoLevel
	}
	fields := zap.NewProductionEncoderConfig()
	fields.TimeKey = "time"
	fields.EncodeTime = zapcore.ISO8601TimeEncoder
	fields.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(fields)
	if format == "console" {
		encoder = zapcore.NewConsoleEncoder(fields)
	}
	core := zapcore.NewSamplerWithOptions(zapcore.NewCore(encoder, out, at), time.Second, logFirst, logEvery)
	return zap.New(core, zap.ErrorOutput(out))
}
