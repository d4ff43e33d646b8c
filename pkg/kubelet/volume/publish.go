package volume

// publish makes dir, in memory or on disk, and makes p its content.
func (s *setup) publish(dir string, memory bool, p payload) error {
	var err error
	if memory {
		_, err = s.tmpfs(dir, memoryLimit(s.pod, nil, s.allocatable()))
	} else {
		_, err = makeDirectory(dir)
	}
	if err != nil {
		return err
	}
	return swap(dir, p, s.Clock.Now(), func() error { return s.own(dir, true) })
}
