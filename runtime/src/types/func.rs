//! [`FuncType`]: parameters and results.

use super::value::Concrete;
use super::{Finality, ValType};
use crate::engine::{Engine, RegisteredType};
use crate::error::{Error, Result};
use seqfault_jit::process::OnceValue;
use seqfault_jit::types::{self as canonical, CompositeType, SubType};
use std::fmt;
use std::sync::Arc;

/// A function type: parameters and results.
#[derive(Clone)]
pub struct FuncType(Arc<Inner>);

struct Inner {
    /// The engine's type. A type that was made without an engine is final, alone in its group, and
    /// equal to the engine's type of that form.
    registered: Option<RegisteredType>,
    params: usize,
    /// Parameters first, then results. They are read from the engine's type when they are needed,
    /// because types may refer to themselves.
    types: OnceValue<Box<[ValType]>>,
}

impl FuncType {
    /// A function type from its parameter and result types.
    pub fn new(
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        let mut types: Vec<ValType> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        FuncType(Arc::new(Inner {
            registered: None,
            params,
            types: OnceValue::from(Box::from(types)),
        }))
    }

    /// A function type with its place among subtypes.
    ///
    /// # Errors
    ///
    /// When `supertype` is final, is not a supertype of such functions, or belongs to another
    /// engine.
    pub fn with_finality_and_supertype(
        engine: &Engine,
        finality: Finality,
        supertype: Option<&FuncType>,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Result<FuncType> {
        let ty = FuncType::new(params, results);
        let mut others = Vec::new();
        let supertype = match supertype {
            None => None,
            Some(supertype) => {
                let registered = supertype.register(engine);
                let fits = super::all_match(supertype.params(), ty.params())
                    && super::all_match(ty.results(), supertype.results());
                if registered.ty().is_final || !fits {
                    return Err(Error::msg(format!("{ty} cannot be a subtype of {supertype}")));
                }
                let id = registered.id().0;
                others.push(registered);
                Some(id)
            }
        };
        let composite = CompositeType::Func(ty.to_canonical(engine, &mut others));
        let is_final = finality == Finality::Final;
        let ty = SubType { is_final, supertype, composite };
        Ok(FuncType::registered(super::intern(engine, &ty, others)))
    }

    /// The parameter types, in order.
    pub fn params(&self) -> &[ValType] {
        &self.types()[..self.0.params]
    }

    /// The result types, in order.
    pub fn results(&self) -> &[ValType] {
        &self.types()[self.0.params..]
    }

    fn types(&self) -> &[ValType] {
        self.0.types.get_or_make(|| {
            let ty = self.0.registered.as_ref().expect("types without an engine are listed");
            let func = ty.ty().as_func().expect("a function type");
            let types = func.params().iter().chain(func.results());
            types.map(|&part| ValType::from_canonical(part, &|id| ty.resolve(id))).collect()
        })
    }

    /// Whether functions of this type also have type `other`.
    pub fn matches(&self, other: &FuncType) -> bool {
        match (&self.0.registered, &other.0.registered) {
            (Some(a), Some(b)) => a.is_subtype_of(b),
            _ => self == other,
        }
    }

    /// Whether it has no subtypes.
    pub fn finality(&self) -> Finality {
        match &self.0.registered {
            Some(ty) if !ty.ty().is_final => Finality::NonFinal,
            _ => Finality::Final,
        }
    }

    /// The type that it refines.
    pub fn supertype(&self) -> Option<FuncType> {
        let ty = self.0.registered.as_ref()?;
        Some(FuncType::registered(ty.resolve(ty.ty().supertype?)))
    }

    pub(crate) fn registered(ty: RegisteredType) -> FuncType {
        let params = ty.ty().as_func().expect("a function type").params().len();
        FuncType(Arc::new(Inner { registered: Some(ty), params, types: OnceValue::new() }))
    }

    /// The type of `engine` that is equal to this.
    ///
    /// # Panics
    ///
    /// When it belongs to another engine.
    pub(crate) fn register(&self, engine: &Engine) -> RegisteredType {
        if let Some(ty) = &self.0.registered {
            assert!(engine.types().owns(ty), "a type used with another engine than its own");
            return ty.clone();
        }
        let mut others = Vec::new();
        let ty = CompositeType::Func(self.to_canonical(engine, &mut others));
        super::intern(engine, &SubType::plain(ty), others)
    }

    fn to_canonical(
        &self,
        engine: &Engine,
        others: &mut Vec<RegisteredType>,
    ) -> canonical::FuncType {
        let mut refer = |ty: Concrete<'_>| super::refer(engine, others, ty);
        let mut all = |types: &[ValType]| -> Vec<canonical::ValType> {
            types.iter().map(|ty| ty.to_canonical(&mut refer)).collect()
        };
        let (params, results) = (all(self.params()), all(self.results()));
        canonical::FuncType::new(params, results)
    }
}

impl PartialEq for FuncType {
    fn eq(&self, other: &FuncType) -> bool {
        match (&self.0.registered, &other.0.registered) {
            (Some(a), Some(b)) => a == b,
            (Some(ty), None) | (None, Some(ty)) if !ty.is_plain() => false,
            _ => self.0.params == other.0.params && self.types() == other.types(),
        }
    }
}

impl Eq for FuncType {}

impl fmt::Debug for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.params().len() + self.results().len();
        super::nested(f, "func", parts, |f| {
            for (keyword, types) in [("param", self.params()), ("result", self.results())] {
                if types.is_empty() {
                    continue;
                }
                write!(f, " ({keyword}")?;
                for ty in types {
                    write!(f, " {ty}")?;
                }
                f.write_str(")")?;
            }
            Ok(())
        })
    }
}
