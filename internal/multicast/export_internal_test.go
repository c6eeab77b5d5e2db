package multicast

// Scan does what Run does at each rescan.
func (r *Carrier) Scan() { r.scan() }
