//! [`InitialElements`]: what the tables of a module start with.
//!
//! It is the same in all instances, although functions as values are not: an element refers to what
//! *stands for* a function of the instance that defines the table. Its type is one that no function
//! has, so the first reader finds out, and has the reference made ([`TableData`]).
//!
//! [`TableData`]: crate::entities::TableData

use super::constants::Constants;
use super::placed::{Active, Placed, place};
use seqfault_jit::module::{
    ConstExpr, ConstOp, ElementItems, ElementMode, ElementSegment, ModuleInfo,
};
use seqfault_jit::vm::{UNMADE, VMFuncRef};
use std::ptr;

/// Elements up to here may be null in a template although no segment sets them.
const MAX_WASTE: usize = 1024;

/// What the tables of a module start with.
pub(crate) struct InitialElements {
    /// How many segments are certain: these, the first ones, are applied in every instance.
    certain: usize,
    /// The active ones of them, in order.
    placed: Box<[Placed]>,
    /// The first elements of each table that the module defines. Empty if its certain segments are
    /// copied: where they are few in a large table, or the other elements are not null.
    templates: Box<[Box<[u64]>]>,
    /// What stands for each function that can become a value.
    unmade: Unmade,
}

/// See [`InitialElements::unmade`].
struct Unmade(Box<[VMFuncRef]>);

// SAFETY: the pointers in it are null.
unsafe impl Send for Unmade {}
// SAFETY: as above.
unsafe impl Sync for Unmade {}

impl Unmade {
    fn new(count: usize) -> Unmade {
        let one = VMFuncRef { slot: ptr::null(), vmctx: ptr::null_mut(), type_id: UNMADE };
        Unmade(vec![one; count].into())
    }

    fn of(&self, escaped: u32) -> u64 {
        (&raw const self.0[escaped as usize]).expose_provenance() as u64
    }
}

impl InitialElements {
    pub(super) fn new(info: &ModuleInfo, constants: &Constants) -> InitialElements {
        let (certain, placed) = place(&info.elements, constants, |segment| {
            let ElementMode::Active { table, offset } = &segment.mode else { return None };
            let defined = table.checked_sub(info.num_imported_tables as u32);
            let defined = defined.filter(|_| is_constant(segment, constants));
            let room = info.tables[*table as usize].ty.minimum.into();
            Some(Active { defined, offset, len: segment.items.len(), room })
        });
        let unmade = Unmade::new(info.num_escaped_functions());
        let tables = info.tables[info.num_imported_tables..].iter().enumerate();
        let templates = tables.map(|(defined, table)| {
            let starts_null =
                table.init.as_ref().is_none_or(|init| constants.value(init) == Some(0));
            let own = placed.iter().filter(|placed| placed.defined as usize == defined);
            match starts_null {
                true => fill(info, constants, &unmade, own),
                false => Box::default(),
            }
        });
        let templates = templates.collect();
        InitialElements { certain, placed: placed.into(), templates, unmade }
    }

    /// How many segments, from the first on, are certain to be applied.
    pub(crate) fn certain(&self) -> usize {
        self.certain
    }

    /// The first elements of a table that the module defines; the others are null. Empty if its
    /// segments must be copied.
    pub(crate) fn template(&self, defined: usize) -> &[u64] {
        &self.templates[defined]
    }

    /// The certain segments that no template has, in order: each with its table, by its number among
    /// the defined ones, and its first index there.
    pub(crate) fn copied(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        let copied = self.placed.iter().filter(|placed| !self.is_in_template(placed));
        copied.map(|placed| (placed.segment, placed.defined, placed.start as u64))
    }

    /// Whether all that happens to the active segment `segment` is in a template.
    pub(crate) fn has(&self, segment: u32) -> bool {
        let at = self.placed.binary_search_by_key(&segment, |placed| placed.segment);
        at.is_ok_and(|at| self.is_in_template(&self.placed[at]))
    }

    fn is_in_template(&self, placed: &Placed) -> bool {
        !self.templates[placed.defined as usize].is_empty()
    }

    /// The function, by its index among those that can become values, that `func_ref` stands for.
    ///
    /// # Panics
    ///
    /// When it is not one of those that stand for functions of this module.
    pub(crate) fn escaped(&self, func_ref: *const VMFuncRef) -> u32 {
        let offset = func_ref.addr().wrapping_sub(self.unmade.0.as_ptr().addr());
        let escaped = offset / size_of::<VMFuncRef>();
        assert!(escaped < self.unmade.0.len(), "it stands for a function of this module");
        escaped as u32
    }
}

/// An element that is the same in all instances, except that functions are their own.
enum Element {
    Function(u32),
    Value(u64),
}

fn element(item: &ConstExpr, constants: &Constants) -> Option<Element> {
    match *item.ops {
        [ConstOp::RefFunc(func)] => Some(Element::Function(func)),
        _ => constants.value(item).map(|value| Element::Value(value as u64)),
    }
}

fn is_constant(segment: &ElementSegment, constants: &Constants) -> bool {
    match &segment.items {
        ElementItems::Functions(_) => true,
        ElementItems::Expressions(items) => {
            items.iter().all(|item| element(item, constants).is_some())
        }
    }
}

/// The elements up to the end of the last segment; none if that would be many more than are set.
fn fill<'a>(
    info: &ModuleInfo,
    constants: &Constants,
    unmade: &Unmade,
    placed: impl Iterator<Item = &'a Placed> + Clone,
) -> Box<[u64]> {
    let items = |placed: &Placed| &info.elements[placed.segment as usize].items;
    let set: usize = placed.clone().map(|placed| items(placed).len()).sum();
    let end = placed.clone().map(|placed| placed.start + items(placed).len()).max().unwrap_or(0);
    if set == 0 || end > 2 * set + MAX_WASTE {
        return Box::default();
    }
    let of = |func: u32| unmade.of(info.escaped_index(func).expect("it is in a segment"));
    let mut elements = vec![0; end];
    for placed in placed {
        let target = elements[placed.start..].iter_mut();
        match items(placed) {
            ElementItems::Functions(functions) => {
                target.zip(functions).for_each(|(target, &func)| *target = of(func));
            }
            ElementItems::Expressions(items) => {
                for (target, item) in target.zip(items) {
                    *target = match element(item, constants).expect("checked when it was placed") {
                        Element::Function(func) => of(func),
                        Element::Value(value) => value,
                    };
                }
            }
        }
    }
    elements.into()
}
