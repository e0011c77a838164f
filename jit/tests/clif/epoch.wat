;; epoch
(module
  (func (loop (br 0))))
