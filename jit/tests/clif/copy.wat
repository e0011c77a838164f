(module
  (memory 1)
  (memory $other 1)
  (table 10 funcref)
  ;; All is loaded before anything is stored, and the last bytes are stored first.
  (func (param i32 i32) (memory.copy (local.get 0) (local.get 1) (i32.const 24)))
  (func (param i32 i32) (memory.fill (local.get 0) (local.get 1) (i32.const 7)))
  ;; One call of a routine, with both lengths compared.
  (func (param i32 i32 i32) (memory.copy 0 $other (local.get 0) (local.get 1) (local.get 2)))
  (func (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (param i32 i32 i32) (table.copy (local.get 0) (local.get 1) (local.get 2)))
  ;; The length of a segment is a constant, unless it is dropped.
  (data "other")
  (data $data "contents")
  (func (param i32 i32 i32) (memory.init $data (local.get 0) (local.get 1) (local.get 2)))
  ;; An array is filled by a routine, too, or off the path by a builtin that can be interrupted.
  (type $array (array (mut i16)))
  (func (param i32 i32) (result (ref $array)) (array.new $array (local.get 0) (local.get 1))))
