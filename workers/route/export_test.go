package route

// On makes a preview ask a Redis that stands already, with the addresses of registry.Config.
func (p Preview) On(servers []string) Preview {
	p.servers = servers
	return p
}
