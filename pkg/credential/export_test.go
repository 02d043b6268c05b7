package credential

// ParseTopics is parseTopics.
func ParseTopics(der []byte) ([]string, error) { return parseTopics(der) }
