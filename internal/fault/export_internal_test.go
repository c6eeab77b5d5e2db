package fault

// Score returns the health of this node: 0 is well, 8 is worst. Time-outs are multiplied
// by one more than the score.
func (d *Detector) Score() int { return d.health.score }
